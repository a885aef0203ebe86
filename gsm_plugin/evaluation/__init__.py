"""Tables and pictures of results: functions over numbers and arrays."""
