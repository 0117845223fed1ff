FROM kilnbase:1
COPY . /ctx/
#: ignore *.txt
#: ignore-of-file dir
#: ignore-of-file !dir/sub
#: ignore-of-file *.tar*
