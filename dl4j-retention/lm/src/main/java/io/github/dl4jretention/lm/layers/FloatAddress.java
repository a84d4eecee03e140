package io.github.dl4jretention.lm.layers;

import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/** A pointer that is moved about: JavaCPP's own would be a new object, known to the garbage collector, for every place. */
final class FloatAddress extends FloatPointer {

    private static final ThreadLocal<FloatAddress[]> OF_PRODUCT = ThreadLocal.withInitial(
            () -> new FloatAddress[] {new FloatAddress(), new FloatAddress(), new FloatAddress()});

    private FloatAddress() {
        super((Pointer) null);
    }

    /** {@return this thread's three pointers, for the matrices of a product} */
    static FloatAddress[] ofProduct() {
        return OF_PRODUCT.get();
    }

    FloatAddress at(long place) {
        address = place;
        return this;
    }
}
