"""Metrics beside PSNR and SSIM, flows, time, memory, multiply-adds."""
