package io.github.dl4jretention.internal;

import java.lang.ref.WeakReference;
import java.util.Arrays;
import java.util.Collection;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Lets an output layer share an embedding's weights: one parameter, one gradient, one entry in the updater, all of them
 * the embedding's. DL4J gives its layers no way to each other, but it creates those of a network one after the other, on
 * one thread, and tells each of them the same collection of listeners; so an embedding leaves word here, and an output
 * layer that's created later for the same network finds it.
 */
public final class TiedWeights {

    /** The layer that has the weights. */
    public interface Owner {

        /**
         * {@return the weights as the output layer multiplies with them, {@code [nIn, V]} in 'f' order, a view of the
         * parameter} Call it before each use.
         */
        INDArray weights();

        /**
         * {@return where the output layer sets its gradient, likewise a view; null if the weights don't train} The owner
         * adds its own gradient to what it finds there.
         */
        @Nullable
        INDArray weightGradients();

        /**
         * {@return an owner of the same weights that does something before they are used}
         *
         * @param action what to do
         */
        default Owner after(Runnable action) {
            Owner owner = this;
            return new Owner() {
                @Override
                public INDArray weights() {
                    action.run();
                    return owner.weights();
                }

                @Override
                public @Nullable INDArray weightGradients() {
                    return owner.weightGradients();
                }
            };
        }
    }

    private record Offer(WeakReference<Collection<TrainingListener>> network, WeakReference<Owner> owner) {}

    private static final ThreadLocal<Offer> LATEST = new ThreadLocal<>();

    private TiedWeights() {}

    /**
     * Leaves word of weights, in place of any other's of this thread.
     *
     * @param network its listeners, the same object for each of its layers; null in a ComputationGraph
     * @param owner   the layer, which somebody else must hold
     */
    public static void offer(Collection<TrainingListener> network, Owner owner) {
        LATEST.set(new Offer(new WeakReference<>(network), new WeakReference<>(owner)));
    }

    /**
     * {@return the weights that were offered last on this thread}
     *
     * @param network as offered
     * @param nIn     expected size of the input
     * @param nOut    expected size of the vocabulary
     * @param layer   who asks, for the message
     * @throws IllegalStateException if there are none of this network, or they have another shape
     */
    public static Owner of(Collection<TrainingListener> network, long nIn, long nOut, String layer) {
        Offer offer = LATEST.get();
        Owner owner = offer == null || offer.network().get() != network
                ? null
                : offer.owner().get();
        if (owner == null) {
            throw new IllegalStateException("layer \"" + layer + "\": expected a TokenEmbedding before it in the same "
                    + "network, whose weights it shares, got none");
        }
        long[] shape = owner.weights().shape();
        if (shape[0] != nIn || shape[1] != nOut) {
            throw new IllegalStateException("layer \"" + layer + "\": expected nIn = " + nIn + " and nOut = " + nOut
                    + " to be width and vocabulary of the embedding, got [width, vocabulary] "
                    + Arrays.toString(shape));
        }
        return owner;
    }
}
