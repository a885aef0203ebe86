"""Weights and networks for other programs: safetensors, ONNX, programs of torch.export."""
