"""The runnable project: a stack is what `stacks/Pulumi.<stack>.yaml` says."""

from gpu_clusters import stack

stack.main()
