FROM kilnbase:1
COPY --chown=1000:1001 plain.txt /c/one
COPY --chown=www:staff dir /c/two
COPY --chown=www plain.txt /c/three
COPY --chown=77 plain.txt /c/four
COPY --chown=0:staff plain.txt /c/five
COPY --chown=3000000:3000001 plain.txt /c/six
