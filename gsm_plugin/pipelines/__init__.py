"""Training and tests as commands and scripts run them: arguments, preparation, the user's own modules."""
