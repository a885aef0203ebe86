"""The last convolution in inference: from features without their bias to colours, added to images."""
