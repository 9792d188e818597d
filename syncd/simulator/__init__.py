"""A local OpenTrain with made-up data and faults on demand; it imports nothing else of syncd."""
