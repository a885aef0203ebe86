"""What follows a convolution that enlarges: its bias, the pixel shuffle, a LeakyReLU."""
