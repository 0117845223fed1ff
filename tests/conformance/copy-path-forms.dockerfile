FROM kilnbase:1
WORKDIR /work/here
COPY ./dir/../plain.txt ./
COPY /plain.txt ../up/
COPY ../plain.txt /parent/
COPY plain.txt ../../../../root-file
COPY dir/sub/./one.md sub/../renamed.md
COPY plain.txt /double//slash///file
COPY plain.txt .
COPY dir/sub/ /trailing/.
