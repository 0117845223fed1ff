FROM kilnbase:1
COPY . /ctx/
COPY dir2 /dir2
#: ignore # a comment
#: ignore /dir/sub/deep
#: ignore **/*.md
#: ignore !dir/sub/one.md
#: ignore special/[e-r]*
#: ignore !special/read-only
#: ignore dir2/ünïcödé/
#: ignore links/../zebra.txt
#: ignore   ./UPPER.TXT  
#: ignore hard/*/two
#: ignore archive.*
#: ignore ?????.txt
#: ignore !*.tar
