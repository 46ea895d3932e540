"""The live pipeline: Kafka topics in, Kafka topics out. An agent takes a batch, asks the core, sends on the answer."""
