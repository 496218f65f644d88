"""Writing ONNX: one function for each op that has an operator, one file a family."""
