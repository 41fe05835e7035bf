"""A virtual AWS beside the simulated Hetzner: whole runs in one process, in seconds.

    loop.py        virtual time: tasks that take turns, one at a time
    machine.py     walks the definition as Step Functions would
    cloud.py       Lambda, Step Functions' API and SSM, and what can go wrong there
    functions.py   the functions' names, their handlers, and the context they are given
    template.py    template.yaml as CloudFormation would read it
    process.py     the process that the functions run in, with that cloud around it
    wire.py        the simulator behind the SDK's session, without sockets
    stage.py       a project at Hetzner and this AWS together, in one virtual time
    truth.py       what really happened at Hetzner: every create, every delete, every state

The same seed gives the same run. tests/chaos plays random nights here, `make bench` measures.
"""
