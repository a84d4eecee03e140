package io.github.dl4jretention.spark;

import java.io.Serializable;

/**
 * A call on its way to an executor, or its result on the way back. It's made of Java's own types, so that an executor with
 * another version of the libraries can read it and say so.
 *
 * @param versions of the libraries where it comes from
 * @param host     where it comes from
 * @param refusal  why there is no content; empty if there is
 * @param content  a serialised object
 */
record Parcel(String versions, String host, String refusal, byte[] content) implements Serializable {

    private static final long serialVersionUID = 1L;
}
