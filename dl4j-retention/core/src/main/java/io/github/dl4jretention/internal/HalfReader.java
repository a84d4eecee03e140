package io.github.dl4jretention.internal;

import org.nd4j.linalg.api.buffer.DataType;

/**
 * A layer configuration whose working part reads parameters in half precision as they are, a few at a time, where the
 * network has another type. All others have theirs widened before each use, which takes memory for all of a layer's: of
 * a table of 50,000 tokens that would be as much as many blocks.
 */
public interface HalfReader {

    /**
     * {@return whether it does, in inference}
     *
     * @param network the network's type
     */
    boolean readsHalves(DataType network);
}
