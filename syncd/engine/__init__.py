"""The story: poll, walk, hydrate, reconcile."""
