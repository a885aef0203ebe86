"""Running any network over any clip: functions over callables and tensors, which know nothing of BasicSR."""
