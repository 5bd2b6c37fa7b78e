"""Write a network as an ONNX graph, after each layer got its strategy.

`nodes` writes the prediction, `edges` the output of every edge for explain.onnx, `network` the whole model with its
transforms. `precision` stores the largest matrices as float16 or int8 where that is allowed.
"""
