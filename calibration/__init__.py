"""From images to activation ranges."""
