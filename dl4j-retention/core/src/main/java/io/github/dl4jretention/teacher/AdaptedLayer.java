package io.github.dl4jretention.teacher;

import org.deeplearning4j.nn.conf.layers.Layer;

/**
 * A layer configuration that has adapters beside the parameters of the layer it was made of, as LoRA has. A teacher that
 * shares a student's parameters ({@link Teacher#sharing}) uses such a layer with its adapters off.
 */
public interface AdaptedLayer {

    /**
     * {@return a configuration with the same parameters in the same places, adapters included, that computes what the
     * layer computes without its adapters} A teacher's; it is never saved.
     */
    Layer withoutAdapters();

    /**
     * {@return whether a parameter is an adapter's} All others have the names and shapes that they have in the layer
     * without adapters.
     *
     * @param parameter name of one of the layer's parameters
     */
    boolean isAdapter(String parameter);
}
