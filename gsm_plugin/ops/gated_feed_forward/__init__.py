"""What follows the heads of an attention block: projection, residual sum, layer norm, GEGLU, residual sum."""
