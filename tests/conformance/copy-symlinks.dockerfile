FROM kilnbase:1
COPY link.txt /s/followed
COPY links /s/links
COPY linkdir /s/linkdir
COPY linkdir/ /s/linkdir2/
