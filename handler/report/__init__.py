"""What people are told: results, verdict, notification, metrics, links. Pure."""
