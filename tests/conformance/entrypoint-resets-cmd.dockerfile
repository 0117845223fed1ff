FROM kilnwithcmd:1
ENTRYPOINT ["/bin/tool"]
