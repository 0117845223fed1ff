FROM kilnbase:1
ADD *.tar /globs/
ADD archive.tar.gz /no-slash
ADD dir /d/
ADD link.txt links /l/
ADD special /special
