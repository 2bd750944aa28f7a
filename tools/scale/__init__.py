"""A million Tweets over Celery, one worker killed midway: ``make scale``."""
