"""The documents, and the programs that write their generated parts."""
