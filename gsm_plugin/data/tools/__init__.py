"""What `basicsr data` calls: checks, LMDBs, lists, clips out of videos, degraded copies."""
