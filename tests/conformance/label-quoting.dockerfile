FROM kilnbase:1
LABEL a="double \"inner\"" b='single "inner"' c=plain\ escaped d="multi \
line" "key with space"=v e.f-g/h=1
LABEL empty= empty2="" last=x last=y base=changed
LABEL json='{"a": [1, "b"]}' dollar=\$x
