"""TensorFlow's formats: Keras, SavedModel, frozen graph, TF.js."""
