"""What a job says of itself while it runs: records, TensorBoard's event files and the Debugger's tensors."""
