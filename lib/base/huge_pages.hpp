// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace flowkin {

/// An allocator that asks the kernel to back what is large with pages of 2 MiB. Where a table is reached at places
/// that nobody can foretell, the processor finds the address of a small page nearly as seldom in its cache as what
/// stands in it. Where the kernel has no such pages (or /sys/kernel/mm/transparent_hugepage/enabled says "never") the
/// memory is what it would have been.
template <class T>
struct HugePages {
    using value_type = T;
    static constexpr std::size_t page_bytes = std::size_t{2} << 20U;

    HugePages() = default;
    template <class Other>
    HugePages(const HugePages<Other>& /*other*/) {}  // NOLINT(google-explicit-constructor): an allocator must

    T* allocate(std::size_t count) {
        const std::size_t bytes = count * sizeof(T);
        void* memory = ::operator new(bytes, alignment(bytes));
        if (bytes >= page_bytes) {
            ::madvise(memory, bytes, MADV_HUGEPAGE);
        }
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, std::size_t count) { ::operator delete(memory, alignment(count * sizeof(T))); }

    friend bool operator==(HugePages /*a*/, HugePages /*b*/) { return true; }

  private:
    static std::align_val_t alignment(std::size_t bytes) {
        return std::align_val_t{bytes >= page_bytes ? page_bytes : alignof(std::max_align_t)};
    }
};

}  // namespace flowkin
