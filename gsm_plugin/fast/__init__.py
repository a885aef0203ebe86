"""The networks without gradients: cast weights, memory that is overwritten, fused ops, CUDA graphs.

What is computed is written in `gsm_plugin.layers`, to which tests hold this. Parameters belong to the network; an
object here is made of them for a clip, or for a layer while it runs, and let go afterwards.
"""
