FROM kilnbase:1
LABEL a=file b=file
#: args --label a=flag --label c=flag
