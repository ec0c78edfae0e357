/** Brands: types that cannot be confused although they share a representation. Only constructors of brands may use `as`. */
declare const brand: unique symbol;

/** `T`, marked as `Name`: a plain `T` is not assignable to it. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
