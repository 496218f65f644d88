"""Objective-C's runtime and Metal, called through cffi without a compiler.

A message is a function of `Metal`, named by its selector with `_` for each `:` between its parts. The runtime has one
entry for all of them, which must be called by the exact type of the method: Apple's arm64 passes the arguments of
variadic functions elsewhere. A result larger than two words comes through an entry of its own on x86-64.

Ownership follows Cocoa's rule: what a method named new..., init or retain gives is ours to release; anything else
belongs to the innermost autorelease pool.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import wraps
from typing import Any

from cffi import FFI

ffi = FFI()
ffi.cdef("""
typedef void *id; typedef void *SEL; typedef void *Class; typedef uint64_t NSUInteger; typedef int64_t NSInteger;
typedef signed char BOOL;
typedef struct { NSUInteger width, height, depth; } MTLSize;
typedef struct { NSUInteger location, length; } NSRange;
typedef struct { NSInteger major, minor, patch; } NSOperatingSystemVersion;
Class objc_getClass(const char *); SEL sel_registerName(const char *);
void objc_msgSend(void); void objc_msgSend_stret(void);
void *objc_autoreleasePoolPush(void); void objc_autoreleasePoolPop(void *);
id MTLCreateSystemDefaultDevice(void);
int helix_emulated_metal(void);
""")
LIBRARIES = (
    "/usr/lib/libobjc.A.dylib",
    "/System/Library/Frameworks/Foundation.framework/Foundation",
    "/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics",  # without it there is no default device
    "/System/Library/Frameworks/Metal.framework/Metal",
)
LARGE = ("MTLSize", "NSOperatingSystemVersion")
MESSAGES = {
    "alloc": "id ()",
    "init": "id ()",
    "retain": "id ()",
    "release": "void ()",
    "respondsToSelector:": "BOOL (SEL)",
    # strings, errors, the system
    "stringWithUTF8String:": "id (const char *)",
    "UTF8String": "const char * ()",
    "code": "NSInteger ()",
    "localizedDescription": "id ()",
    "processInfo": "id ()",
    "operatingSystemVersion": "NSOperatingSystemVersion ()",
    # devices
    "name": "id ()",
    "registryID": "uint64_t ()",
    "supportsFamily:": "BOOL (NSInteger)",
    "maxThreadsPerThreadgroup": "MTLSize ()",
    "maxThreadgroupMemoryLength": "NSUInteger ()",
    "maxBufferLength": "NSUInteger ()",
    "recommendedMaxWorkingSetSize": "uint64_t ()",
    "currentAllocatedSize": "NSUInteger ()",
    "newBufferWithLength:options:": "id (NSUInteger, NSUInteger)",
    "newBufferWithBytes:length:options:": "id (const void *, NSUInteger, NSUInteger)",
    "newCommandQueue": "id ()",
    "newSharedEvent": "id ()",
    # buffers
    "contents": "void * ()",
    "length": "NSUInteger ()",
    # programs
    "setMathMode:": "void (NSInteger)",
    "setFastMathEnabled:": "void (BOOL)",
    "newLibraryWithSource:options:error:": "id (id, id, id *)",
    "newFunctionWithName:": "id (id)",
    "setComputeFunction:": "void (id)",
    "setMaxTotalThreadsPerThreadgroup:": "void (NSUInteger)",
    "newComputePipelineStateWithDescriptor:options:reflection:error:": "id (id, NSUInteger, void *, id *)",
    "maxTotalThreadsPerThreadgroup": "NSUInteger ()",
    # work
    "commandBuffer": "id ()",
    "computeCommandEncoder": "id ()",
    "setComputePipelineState:": "void (id)",
    "setBuffers:offsets:withRange:": "void (const id *, const NSUInteger *, NSRange)",
    "setBytes:length:atIndex:": "void (const void *, NSUInteger, NSUInteger)",
    "setThreadgroupMemoryLength:atIndex:": "void (NSUInteger, NSUInteger)",
    "dispatchThreadgroups:threadsPerThreadgroup:": "void (MTLSize, MTLSize)",
    "endEncoding": "void ()",
    "encodeSignalEvent:value:": "void (id, uint64_t)",
    "encodeWaitForEvent:value:": "void (id, uint64_t)",
    "commit": "void ()",
    "status": "NSUInteger ()",
    "waitUntilCompleted": "void ()",
    "error": "id ()",
    "setSignaledValue:": "void (uint64_t)",
}
"""Results and arguments by selector."""


class Metal:
    """The loaded libraries. `HELIX_METAL_LIBRARY` names one library that stands in for all of them, for tests."""

    def __init__(self) -> None:
        instead = os.environ.get("HELIX_METAL_LIBRARY", "")
        loaded = [ffi.dlopen(path) for path in ([instead] if instead else LIBRARIES)]
        self.objc, self.metal = loaded[0], loaded[-1]
        self.emulated = hasattr(self.metal, "helix_emulated_metal")
        self.push, self.pop = self.objc.objc_autoreleasePoolPush, self.objc.objc_autoreleasePoolPop
        for selector, declared in MESSAGES.items():
            setattr(self, selector.rstrip(":").replace(":", "_"), self._message(selector, declared))

    def _message(self, selector: str, declared: str) -> Callable:
        result, _, arguments = declared.partition(" (")
        aside = result in LARGE and platform.machine() in ("x86_64", "AMD64")
        entry = ffi.addressof(self.objc, "objc_msgSend_stret" if aside else "objc_msgSend")
        function = ffi.cast(f"{result} (*)(id, SEL{', ' if arguments != ')' else ''}{arguments}", entry)
        registered = self.selector(selector)
        return lambda receiver, *given: function(receiver, registered, *given)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no message {name}: it is not declared in MESSAGES")

    def selector(self, name: str) -> Any:
        return self.objc.sel_registerName(name.encode())

    def class_named(self, name: str) -> Any:
        return self.objc.objc_getClass(name.encode())

    def new(self, class_name: str) -> Any:
        return self.init(self.alloc(self.class_named(class_name)))

    def string(self, text: bytes) -> Any:
        return self.stringWithUTF8String(self.class_named("NSString"), text)

    def text(self, string: Any) -> str:
        return ffi.string(self.UTF8String(string)).decode("utf-8", "replace") if string else ""

    def default_device(self) -> Any:
        return self.metal.MTLCreateSystemDefaultDevice()

    def version(self) -> tuple[int, int]:
        """Of macOS."""
        told = self.operatingSystemVersion(self.processInfo(self.class_named("NSProcessInfo")))
        return told.major, told.minor


def pooled(method: Callable) -> Callable:
    """A method of an object with `.metal`, in an autorelease pool of its own."""

    @wraps(method)
    def call(self, *arguments):
        pool = self.metal.push()
        try:
            return method(self, *arguments)
        finally:
            self.metal.pop(pool)

    return call
