"""Triton's interpreter, without what it does again and again."""


def patch_once_a_launch() -> None:
    """Lets Triton's interpreter patch its language once a launch and module.

    It does so at every call of a function within a kernel, which takes half of the time of small kernels. What is
    patched stays until the launch ends, so patching it again changes nothing.
    """
    try:
        from triton.runtime import interpreter
    except ImportError:
        return
    patch, patched = interpreter._patch_lang, set()

    class Scope(interpreter._LangPatchScope):
        def restore(self):
            patched.clear()
            super().restore()

    def patch_unless_patched(fn):
        if id(fn.__globals__) in patched:
            return Scope()
        patched.add(id(fn.__globals__))
        return patch(fn)

    interpreter._LangPatchScope, interpreter._patch_lang = Scope, patch_unless_patched
