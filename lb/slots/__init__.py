"""The workers' side: pipes, and a worker in every slot that reads them. Law: knows nothing of the feed."""
