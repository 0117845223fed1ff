FROM kilnbase:1
COPY . /ctx/
#: ignore *
#: ignore !dir
#: ignore dir/sub
#: ignore !dir/sub/deep
