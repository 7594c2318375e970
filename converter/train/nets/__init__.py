"""Reference nets, written as typed graphs: what trains here also converts, prunes and heals."""
