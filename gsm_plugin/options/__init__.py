"""Option files: read without executing them, checked against what is really read, finished as BasicSR finishes them."""
