module multus

go 1.24.0

tool gopkg.in/k8snetworkplumbingwg/multus-cni.v4/cmd/multus

require gopkg.in/k8snetworkplumbingwg/multus-cni.v4 v4.2.2
