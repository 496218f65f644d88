"""The operators, one file a family; helix.onnx.table finds them."""
