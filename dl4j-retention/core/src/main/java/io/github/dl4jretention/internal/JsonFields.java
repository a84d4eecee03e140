package io.github.dl4jretention.internal;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.nd4j.shade.jackson.annotation.JacksonAnnotationsInside;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;

/** A class whose JSON is its fields, whatever their visibility, and nothing else. */
@JacksonAnnotationsInside
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE,
        setterVisibility = JsonAutoDetect.Visibility.NONE)
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
public @interface JsonFields {}
