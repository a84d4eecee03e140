package io.github.dl4jretention.internal;

/** A layer configuration whose working part uses the parameters of a {@link FrozenBase} where they lie. */
public interface HeldLayer {

    /**
     * {@return the base}
     *
     * @throws IllegalStateException if this process doesn't have it in memory
     */
    FrozenBase base();

    /** {@return whether it has adapters beside them} */
    boolean isAdapted();
}
