FROM kilnbase:1
COPY . /ctx/
#: ignore dir/sub
#: ignore *.txt
#: ignore !plain.txt
#: ignore **/b.sh
