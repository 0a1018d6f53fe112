"""Program 2: photos in over HTTP, labels out. A front on the public port, multi-model-server behind it on Unix sockets."""
